// The library that Terraform's AWS provider gets its credentials with, called as the provider calls it for a
// configuration that has a region alone.
package main

import (
	"context"
	"errors"

	awsbase "github.com/hashicorp/aws-sdk-go-base/v2"
)

func ask() (answer, error) {
	ctx, c, diags := awsbase.GetAwsConfig(context.Background(), &awsbase.Config{
		CallerName:          "Terraform AWS Provider",
		MaxRetries:          25,
		Region:              "us-east-1",
		SkipCredsValidation: true, // the check calls STS at AWS
	})
	for _, each := range diags {
		return answer{}, errors.New(each.Summary() + ": " + each.Detail())
	}
	v, err := c.Credentials.Retrieve(ctx)
	return answer{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, Token: v.SessionToken}, err
}
