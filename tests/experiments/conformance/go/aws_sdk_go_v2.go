// The default chain of aws-sdk-go-v2.
package main

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/config"
)

func ask() (answer, error) {
	c, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		return answer{}, err
	}
	v, err := c.Credentials.Retrieve(context.Background())
	return answer{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, Token: v.SessionToken}, err
}
