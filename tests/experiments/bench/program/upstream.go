package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"time"
)

const stsAnswer = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIABENCH</AccessKeyId>
<SecretAccessKey>bench/secret</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult><ResponseMetadata><RequestId>bench</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`

const sessionAnswer = `{"credentialSet":[{"assumedRoleUser":{"arn":"arn:aws:sts::123456789012:assumed-role/app-role/x",
"assumedRoleId":"AROA:x"},"credentials":{"accessKeyId":"ASIABENCH","secretAccessKey":"bench/secret",
"sessionToken":"%s","expiration":"%s"},"packedPolicySize":1,"roleArn":"arn:aws:iam::123456789012:role/app-role"}],
"subjectArn":"arn:aws:rolesanywhere:us-east-1:123456789012:subject/x"}`

// upstream answers both protocols: POST / is STS, POST /sessions is IAM Roles Anywhere's CreateSession.
func upstream(port, certificate, key string, lifeSeconds int) {
	token := make([]byte, 1000)
	for index := range token {
		token[index] = 'A' + byte(index%26)
	}
	answer := func(form, mediaType string, status int) http.HandlerFunc {
		return func(writer http.ResponseWriter, request *http.Request) {
			io.Copy(io.Discard, request.Body)
			end := time.Now().UTC().Add(time.Duration(lifeSeconds) * time.Second).Format(time.RFC3339)
			writer.Header().Set("Content-Type", mediaType)
			writer.WriteHeader(status)
			fmt.Fprintf(writer, form, token, end)
		}
	}
	http.HandleFunc("/", answer(stsAnswer, "text/xml", 200))
	http.HandleFunc("/sessions", answer(sessionAnswer, "application/json", 201))
	log.Fatal(http.ListenAndServeTLS("127.0.0.1:"+port, certificate, key, nil))
}
