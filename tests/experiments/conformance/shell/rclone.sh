# rclone with its documented way to use a role. In: S3's address. Out: a signed request.
exec rclone --config /dev/null --retries 1 lsd ":s3,provider=Other,env_auth=true,endpoint='http://$1':"
