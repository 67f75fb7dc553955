module conformance

go 1.24

require github.com/aws/aws-sdk-go v1.15.0

require (
	github.com/go-ini/ini v1.25.4 // indirect
	github.com/jmespath/go-jmespath v0.0.0-20160202185014-0b12d6b521d8 // indirect
)
