// The default chain of aws-sdk-go v1.
package main

import "github.com/aws/aws-sdk-go/aws/session"

func ask() (answer, error) {
	s, err := session.NewSession()
	if err != nil {
		return answer{}, err
	}
	v, err := s.Config.Credentials.Get()
	return answer{AccessKeyID: v.AccessKeyID, SecretAccessKey: v.SecretAccessKey, Token: v.SessionToken}, err
}
