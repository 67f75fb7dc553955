"""A test STS: does what AWS STS does for AssumeRoleWithWebIdentity and GetCallerIdentity, and errs when told to."""
