//! The default chain of aws-sdk-rust. In: nothing. Out: one line of JSON, the credentials by EC2's names or the error.

use aws_config::BehaviorVersion;
use aws_credential_types::provider::{error::DisplayErrorContext, ProvideCredentials};
use serde_json::json;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let started = Instant::now();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let mut told = match config.credentials_provider() {
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
    told["Seconds"] = json!(started.elapsed().as_secs_f64());
    println!("{told}");
}
