# IMDSv1 (EC2 User Guide, "Retrieve security credentials from instance metadata"). Out: EC2's document.
role=$(curl -s http://169.254.169.254/latest/meta-data/iam/security-credentials/) &&
    curl -s "http://169.254.169.254/latest/meta-data/iam/security-credentials/$role"
