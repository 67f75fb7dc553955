// A floor for the webhook and the load on both: `serve` is the least that a Go webhook does for the same answer,
// with net/http and encoding/json on typed structs; `load` posts one review again and again.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	label      = "gkemulticloud.googleapis.com/aws-imds-emulator-enabled"
	annotation = "gkemulticloud.googleapis.com/aws-imds-emulator-role-arn"
)

var roleARN = regexp.MustCompile(`^arn:(aws|aws-cn|aws-us-gov):iam::[0-9]{12}:role/[\w+=,.@/-]+$`)

type metadata struct {
	Name         string            `json:"name,omitempty"`
	GenerateName string            `json:"generateName,omitempty"`
	Namespace    string            `json:"namespace,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

type fieldRef struct {
	FieldPath string `json:"fieldPath"`
}

type valueFrom struct {
	FieldRef *fieldRef `json:"fieldRef,omitempty"`
}

type variable struct {
	Name      string     `json:"name"`
	Value     *string    `json:"value,omitempty"` // "" is a value too
	ValueFrom *valueFrom `json:"valueFrom,omitempty"`
}

type port struct {
	Name          string `json:"name,omitempty"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol,omitempty"`
}

type mount struct {
	Name      string `json:"name"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
}

type httpGet struct {
	Path string `json:"path"`
	Port any    `json:"port"`
}

type probe struct {
	HTTPGet          *httpGet `json:"httpGet,omitempty"`
	PeriodSeconds    int      `json:"periodSeconds,omitempty"`
	TimeoutSeconds   int      `json:"timeoutSeconds,omitempty"`
	FailureThreshold int      `json:"failureThreshold,omitempty"`
}

type resources struct {
	Requests map[string]string `json:"requests,omitempty"`
	Limits   map[string]string `json:"limits,omitempty"`
}

type capabilities struct {
	Drop []string `json:"drop,omitempty"`
	Add  []string `json:"add,omitempty"`
}

type securityContext struct {
	RunAsUser                *int64            `json:"runAsUser,omitempty"`
	RunAsGroup               *int64            `json:"runAsGroup,omitempty"`
	RunAsNonRoot             *bool             `json:"runAsNonRoot,omitempty"`
	Privileged               *bool             `json:"privileged,omitempty"`
	AllowPrivilegeEscalation *bool             `json:"allowPrivilegeEscalation,omitempty"`
	ReadOnlyRootFilesystem   *bool             `json:"readOnlyRootFilesystem,omitempty"`
	Capabilities             *capabilities     `json:"capabilities,omitempty"`
	SeccompProfile           map[string]string `json:"seccompProfile,omitempty"`
}

type container struct {
	Name                     string           `json:"name"`
	Image                    string           `json:"image,omitempty"`
	ImagePullPolicy          string           `json:"imagePullPolicy,omitempty"`
	RestartPolicy            string           `json:"restartPolicy,omitempty"`
	Command                  []string         `json:"command,omitempty"`
	Args                     []string         `json:"args,omitempty"`
	Env                      []variable       `json:"env,omitempty"`
	Ports                    []port           `json:"ports,omitempty"`
	Resources                resources        `json:"resources"`
	SecurityContext          *securityContext `json:"securityContext,omitempty"`
	StartupProbe             *probe           `json:"startupProbe,omitempty"`
	ReadinessProbe           *probe           `json:"readinessProbe,omitempty"`
	LivenessProbe            *probe           `json:"livenessProbe,omitempty"`
	TerminationMessagePolicy string           `json:"terminationMessagePolicy,omitempty"`
	VolumeMounts             []mount          `json:"volumeMounts,omitempty"`
}

type token struct {
	Audience          string `json:"audience"`
	ExpirationSeconds int    `json:"expirationSeconds"`
	Path              string `json:"path"`
}

type source struct {
	ServiceAccountToken *token `json:"serviceAccountToken,omitempty"`
}

type projected struct {
	Sources []source `json:"sources"`
}

type downwardAPI struct {
	Items []any `json:"items"`
}

type volume struct {
	Name        string            `json:"name"`
	Projected   *projected        `json:"projected,omitempty"`
	DownwardAPI *downwardAPI      `json:"downwardAPI,omitempty"`
	ConfigMap   map[string]string `json:"configMap,omitempty"`
}

type pod struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		HostNetwork    bool              `json:"hostNetwork,omitempty"`
		NodeSelector   map[string]string `json:"nodeSelector,omitempty"`
		InitContainers []container       `json:"initContainers,omitempty"`
		Containers     []container       `json:"containers"`
		Volumes        []volume          `json:"volumes,omitempty"`
	} `json:"spec"`
}

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

type review struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    *struct {
		UID       string          `json:"uid"`
		Namespace string          `json:"namespace"`
		Operation string          `json:"operation"`
		Object    json.RawMessage `json:"object"`
	} `json:"request,omitempty"`
	Response *response `json:"response,omitempty"`
}

type response struct {
	UID       string            `json:"uid"`
	Allowed   bool              `json:"allowed"`
	PatchType string            `json:"patchType,omitempty"`
	Patch     string            `json:"patch,omitempty"`
	Status    map[string]string `json:"status,omitempty"`
}

func main() {
	switch {
	case len(os.Args) == 6 && os.Args[1] == "serve":
		serve(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	case len(os.Args) == 6 && os.Args[1] == "load":
		load(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]))
	default:
		log.Fatal("usage: serve ADDRESS CHAIN KEY PATCH | load URL BODY CONNECTIONS REQUESTS")
	}
}

// serve answers each review with the patch in the file, encoded anew from structs each time.
func serve(address, chain, key, patch string) {
	operations := typed(read(patch))
	http.HandleFunc("/mutate", func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3<<20))
		var asked review
		if err == nil {
			err = json.Unmarshal(body, &asked)
		}
		if err != nil || asked.Request == nil {
			http.Error(w, "the body is no AdmissionReview", http.StatusBadRequest)
			return
		}
		answer, name := decide(&asked, operations)
		raw, _ := json.Marshal(answer)
		w.Header().Set("Content-Type", "application/json")
		w.Write(raw)
		log.Printf("event=admission namespace=%s pod=%s allowed=%t milliseconds=%.2f", asked.Request.Namespace, name,
			answer.Response.Allowed, float64(time.Since(started).Microseconds())/1000)
	})
	log.Fatal(http.ListenAndServeTLS(address, chain, key, nil))
}

func decide(asked *review, operations []operation) (*review, string) {
	answer := &review{APIVersion: asked.APIVersion, Kind: asked.Kind, Response: &response{UID: asked.Request.UID}}
	var of pod
	if err := json.Unmarshal(asked.Request.Object, &of); err != nil {
		answer.Response.Status = map[string]string{"message": err.Error()}
		return answer, ""
	}
	if message := refusal(&of); message != "" {
		answer.Response.Status = map[string]string{"message": message}
		return answer, of.Metadata.Name
	}
	answer.Response.Allowed = true
	if of.Metadata.Labels[label] == "True" {
		raw, _ := json.Marshal(operations)
		answer.Response.PatchType, answer.Response.Patch = "JSONPatch", base64.StdEncoding.EncodeToString(raw)
	}
	return answer, of.Metadata.Name
}

func refusal(of *pod) string {
	if of.Spec.HostNetwork {
		return "spec.hostNetwork is true"
	}
	if !roleARN.MatchString(strings.TrimSpace(of.Metadata.Annotations[annotation])) {
		return "the role ARN is malformed"
	}
	for _, each := range append(of.Spec.InitContainers, of.Spec.Containers...) {
		if each.Name == "imds-redirect" || each.Name == "imds-emulator" {
			return "a container's name is taken"
		}
		for _, p := range each.Ports {
			if p.ContainerPort == 16925 || p.ContainerPort == 16926 {
				return "a port is taken"
			}
		}
	}
	for _, each := range of.Spec.Volumes {
		if strings.HasPrefix(each.Name, "imds-emulator-") {
			return "a volume's name is taken"
		}
	}
	return ""
}

// typed reads a patch into structs, so that encoding it is encoding structs.
func typed(raw []byte) []operation {
	var found []struct {
		Op, Path string
		Value    json.RawMessage
	}
	check(json.Unmarshal(raw, &found))
	operations := make([]operation, 0, len(found))
	for _, each := range found {
		var value any = &[]any{}
		switch {
		case strings.HasSuffix(each.Path, "ontainers/0"):
			value = &container{}
		case strings.HasSuffix(each.Path, "volumes/-"):
			value = &volume{}
		}
		check(json.Unmarshal(each.Value, value))
		operations = append(operations, operation{each.Op, each.Path, value})
	}
	return operations
}

// load posts a body over so many kept connections, and prints requests a second and percentiles of their time.
func load(url, file string, connections, requests int) {
	body := read(file)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxIdleConnsPerHost: connections,
	}}
	took := make([]time.Duration, requests)
	var next atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for range make([]struct{}, connections) {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := int(next.Add(1)) - 1; n < requests; n = int(next.Add(1)) - 1 {
				at := time.Now()
				answer, err := client.Post(url, "application/json", bytes.NewReader(body))
				check(err)
				_, err = io.Copy(io.Discard, answer.Body)
				check(err)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					log.Fatal(answer.Status)
				}
				took[n] = time.Since(at)
			}
		}()
	}
	group.Wait()
	seconds := time.Since(started).Seconds()
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	fmt.Printf(`{"requests_per_second": %.1f, "p50_ms": %.3f, "p99_ms": %.3f}`+"\n", float64(requests)/seconds,
		took[requests/2].Seconds()*1000, took[requests*99/100].Seconds()*1000)
}

func read(path string) []byte {
	raw, err := os.ReadFile(path)
	check(err)
	return raw
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
