// Peers of the webhook: `pace` asks for reviews at a fixed rate, as API servers do; `flood` is many ill-behaved ones.
package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience = 10 * time.Second // more than an API server has
	pause    = 3 * time.Second  // until a peer of the flood that was dropped comes again
)

var insecure = &tls.Config{InsecureSkipVerify: true, ServerName: "injector.ns.svc"}

func main() {
	switch {
	case len(os.Args) == 7 && os.Args[1] == "pace":
		pace(os.Args[2], os.Args[3], number(os.Args[4]), number(os.Args[5]), number(os.Args[6]))
	case len(os.Args) > 3 && os.Args[1] == "flood":
		flood(os.Args[2], os.Args[3:])
	default:
		log.Fatal("usage: pace URL BODY KEPT-CONNECTIONS PER-SECOND SECONDS | flood ADDRESS KIND=COUNT...")
	}
}

// pace posts a body so many times a second, whether or not the answers keep up, and prints how long each took from the
// moment at which it was due. Without kept connections each request has one of its own.
func pace(url, file string, kept, rate, seconds int) {
	body, err := os.ReadFile(file)
	check(err)
	transport := &http.Transport{TLSClientConfig: insecure, MaxIdleConnsPerHost: kept, DisableKeepAlives: kept == 0}
	client := &http.Client{Timeout: patience, Transport: transport}
	took := make([]time.Duration, rate*seconds)
	var failures sync.Map
	var failed atomic.Int64
	var group sync.WaitGroup
	started := time.Now()
	for n := range took {
		due := started.Add(time.Duration(n) * time.Second / time.Duration(rate))
		time.Sleep(time.Until(due))
		group.Add(1)
		go func() {
			defer group.Done()
			if err := ask(client, url, body); err != nil {
				failed.Add(1)
				failures.Store(err.Error(), true)
			}
			took[n] = time.Since(due)
		}()
	}
	group.Wait()
	elapsed := time.Since(started).Seconds()
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	reasons := []string{}
	failures.Range(func(key, _ any) bool {
		reasons = append(reasons, key.(string))
		return len(reasons) < 5
	})
	show(map[string]any{
		"asked":   len(took),
		"failed":  failed.Load(),
		"reasons": reasons,
		"seconds": elapsed,
		"p50_ms":  milliseconds(took[len(took)/2]),
		"p99_ms":  milliseconds(took[len(took)*99/100]),
		"max_ms":  milliseconds(took[len(took)-1]),
	})
}

func ask(client *http.Client, url string, body []byte) error {
	answer, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !(bytes.Contains(text, []byte(`"allowed":true`)) && bytes.Contains(text, []byte(`"patch":`))) {
		err = fmt.Errorf("%s: %.100s", answer.Status, text)
	}
	return err
}

// Each kind holds a connection until it ends; a minute is longer than any experiment.
var kinds = map[string]func(net.Conn, *tls.Conn) error{
	// Not even a handshake.
	"silent": func(raw net.Conn, _ *tls.Conn) error { return wait(raw) },
	// A handshake, and then nothing.
	"idle": func(raw net.Conn, kept *tls.Conn) error { return handshaken(raw, kept, "") },
	// A head that never ends.
	"head": func(raw net.Conn, kept *tls.Conn) error { return handshaken(raw, kept, "POST /mutate HT") },
	// A large body that never ends.
	"body": func(raw net.Conn, kept *tls.Conn) error {
		return handshaken(raw, kept, "POST /mutate HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n"+strings.Repeat("x", 1<<20))
	},
	// A body over the limit, sent whole.
	"oversized": func(raw net.Conn, kept *tls.Conn) error {
		return handshaken(raw, kept, "POST /mutate HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n"+strings.Repeat("x", 4000000))
	},
	// What is small on the wire and large in memory.
	"bomb": func(raw net.Conn, kept *tls.Conn) error {
		body := "[" + strings.Repeat("[[]],", 600000) + "0]"
		return handshaken(raw, kept, fmt.Sprintf("POST /mutate HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	},
	// Requests without end, of which no answer is read.
	"deaf": func(raw net.Conn, kept *tls.Conn) error {
		return handshaken(raw, kept, strings.Repeat("GET /mutate HTTP/1.1\r\n\r\n", 100000))
	},
	// No TLS at all.
	"nonsense": func(raw net.Conn, _ *tls.Conn) error {
		raw.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
		return wait(raw)
	},
}

// flood keeps so many peers of each kind at it, each anew a while after its connection has ended, until the end of
// standard input. It says "open" when each has had a connection, and prints at the end how many connections there were.
func flood(address string, orders []string) {
	var open sync.WaitGroup
	var connections atomic.Int64
	peers := 0
	for _, order := range orders {
		kind, count, _ := strings.Cut(order, "=")
		act := kinds[kind]
		if act == nil {
			log.Fatalf("no kind %q", kind)
		}
		for range number(count) {
			peers++
			open.Add(1)
			go func() {
				for first := true; ; first = false {
					raw, err := net.DialTimeout("tcp", address, patience)
					if first {
						open.Done()
					}
					if err == nil {
						connections.Add(1)
						act(raw, tls.Client(raw, insecure))
						raw.Close()
					}
					time.Sleep(pause)
				}
			}()
		}
	}
	open.Wait()
	fmt.Println("open")
	io.Copy(io.Discard, os.Stdin)
	show(map[string]any{"peers": peers, "connections": connections.Load()})
}

func handshaken(raw net.Conn, kept *tls.Conn, said string) error {
	raw.SetDeadline(time.Now().Add(time.Minute))
	if err := kept.Handshake(); err != nil {
		return err
	}
	if _, err := io.WriteString(kept, said); err != nil {
		return err
	}
	return wait(raw)
}

func wait(raw net.Conn) error {
	raw.SetDeadline(time.Now().Add(time.Minute))
	_, err := raw.Read(make([]byte, 1))
	return err
}

func milliseconds(d time.Duration) float64 {
	return d.Seconds() * 1000
}

func show(result map[string]any) {
	text, err := json.Marshal(result)
	check(err)
	fmt.Println(string(text))
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
