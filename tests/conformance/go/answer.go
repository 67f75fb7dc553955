// What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client.
package main

import (
	"encoding/json"
	"os"
	"time"
)

type answer struct {
	AccessKeyID     string `json:"AccessKeyId,omitempty"`
	SecretAccessKey string `json:",omitempty"`
	Token           string `json:",omitempty"`
	Error           string `json:",omitempty"`
	Seconds         float64
}

func main() {
	started := time.Now()
	told, err := ask()
	if err != nil {
		told = answer{Error: err.Error()}
	}
	told.Seconds = time.Since(started).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}
