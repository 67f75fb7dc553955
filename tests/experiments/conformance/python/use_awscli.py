"""The AWS CLI lists buckets. In: S3's address. Out: a signed request."""

import sys

from awscli.clidriver import main

endpoint = f"http://{sys.argv[1]}"
sys.argv = ["aws", "s3api", "list-buckets", "--endpoint-url", endpoint, "--region", "us-east-1"]
sys.exit(main())
