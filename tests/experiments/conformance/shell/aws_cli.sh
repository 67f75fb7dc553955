# Debian's AWS CLI lists buckets. In: S3's address. Out: a signed request.
exec /usr/bin/aws s3api list-buckets --endpoint-url "http://$1" --region us-east-1
