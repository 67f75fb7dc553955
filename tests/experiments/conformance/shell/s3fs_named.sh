# s3fs mounts a bucket with the role that it is told. In: S3's address, the role's name. Out: signed requests.
mkdir "$HOME/bucket"
exec s3fs bucket "$HOME/bucket" -f -o "iam_role=$2" -o "url=http://$1" -o use_path_request_style -o endpoint=us-east-1
