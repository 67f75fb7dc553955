# The default chain of aws-sdk-ruby. In: nothing. Out: one line of JSON, the credentials by EC2's names or the error.

require "aws-sdk-core"
require "json"

begin
  provider = Aws::CredentialProviderChain.new.resolve
  credentials = provider&.credentials
  told = if provider&.set?
           { AccessKeyId: credentials.access_key_id, SecretAccessKey: credentials.secret_access_key,
             Token: credentials.session_token }
         else
           { Error: "no credentials" }
         end
rescue StandardError => e
  told = { Error: "#{e.class}: #{e.message}" }
end
puts JSON.generate(told)
