# s3fs mounts a bucket with the role that it finds in the list. In: S3's address. Out: signed requests.
mkdir "$HOME/bucket"
exec s3fs bucket "$HOME/bucket" -f -o iam_role=auto -o "url=http://$1" -o use_path_request_style -o endpoint=us-east-1
