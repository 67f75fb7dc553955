import aws.sdk.kotlin.runtime.auth.credentials.DefaultChainCredentialsProvider;
import aws.smithy.kotlin.runtime.auth.awscredentials.Credentials;
import aws.smithy.kotlin.runtime.collections.AttributesKt;
import kotlin.coroutines.EmptyCoroutineContext;
import kotlinx.coroutines.BuildersKt;

/** The default chain of aws-sdk-kotlin; a suspending function, seen from Java, takes what continues after it. */
final class AwsSdkKotlin {
    public static void main(String[] arguments) {
        Answer.print(() -> {
            DefaultChainCredentialsProvider chain = new DefaultChainCredentialsProvider();
            Credentials c = (Credentials) BuildersKt.runBlocking(
                EmptyCoroutineContext.INSTANCE,
                (scope, continuation) -> chain.resolve(AttributesKt.emptyAttributes(), continuation));
            return Answer.credentials(c.getAccessKeyId(), c.getSecretAccessKey(), c.getSessionToken());
        });
        System.exit(0); // the client's threads outlive it
    }
}
