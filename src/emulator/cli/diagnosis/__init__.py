"""What an operator asks: why are there no credentials, and what must IAM know?"""
