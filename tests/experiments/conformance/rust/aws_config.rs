//! The default chain of aws-sdk-rust. In: nothing. Out: one line of JSON, the credentials by EC2's names or the error.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_types::error::display::DisplayErrorContext;
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let told = match config.credentials_provider() {
        None => json!({"Error": "no provider"}),
        Some(provider) => match provider.provide_credentials().await {
            Ok(c) => json!({
                "AccessKeyId": c.access_key_id(),
                "SecretAccessKey": c.secret_access_key(),
                "Token": c.session_token(),
            }),
            Err(error) => json!({"Error": DisplayErrorContext(&error).to_string()}),
        },
    };
    println!("{told}");
}
