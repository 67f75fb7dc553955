// What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client.
package main

import (
	"encoding/json"
	"os"
)

type answer struct {
	AccessKeyID     string `json:"AccessKeyId,omitempty"`
	SecretAccessKey string `json:",omitempty"`
	Token           string `json:",omitempty"`
	Error           string `json:",omitempty"`
}

func main() {
	told, err := ask()
	if err != nil {
		told = answer{Error: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(told); err != nil {
		panic(err)
	}
}
