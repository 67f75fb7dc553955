package main

import (
	"encoding/json"
	"encoding/xml"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"
)

type credentials struct {
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

// floor serves credentials with nothing but net/http: no limits, no logs, no refresh, no IMDSv2.
func floor(port, stsURL string) {
	token, err := os.ReadFile(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := http.PostForm(stsURL, url.Values{
		"Action":           {"AssumeRoleWithWebIdentity"},
		"Version":          {"2011-06-15"},
		"RoleArn":          {"arn:aws:iam::123456789012:role/app-role"},
		"RoleSessionName":  {"floor"},
		"DurationSeconds":  {"3600"},
		"WebIdentityToken": {string(token)},
	})
	if err != nil {
		log.Fatal(err)
	}
	var parsed struct {
		Credentials credentials `xml:"AssumeRoleWithWebIdentityResult>Credentials"`
	}
	if err := xml.NewDecoder(answer.Body).Decode(&parsed); err != nil {
		log.Fatal(err)
	}
	answer.Body.Close()
	document, err := json.MarshalIndent(map[string]string{
		"Code":            "Success",
		"LastUpdated":     time.Now().UTC().Format(time.RFC3339),
		"Type":            "AWS-HMAC",
		"AccessKeyId":     parsed.Credentials.AccessKeyId,
		"SecretAccessKey": parsed.Credentials.SecretAccessKey,
		"Token":           parsed.Credentials.SessionToken,
		"Expiration":      parsed.Credentials.Expiration,
	}, "", "  ")
	if err != nil {
		log.Fatal(err)
	}
	const list = "/latest/meta-data/iam/security-credentials/"
	serve := func(body []byte) http.HandlerFunc {
		return func(writer http.ResponseWriter, _ *http.Request) {
			writer.Header().Set("Content-Type", "text/plain")
			writer.Header().Set("Server", "EC2ws")
			writer.Write(body)
		}
	}
	http.HandleFunc(list, serve([]byte("app-role")))
	http.HandleFunc(list+"app-role", serve(document))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, nil))
}
