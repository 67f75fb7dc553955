<?php
// The default chain of AsyncAws. In: nothing. Out: one line of JSON, the credentials by EC2's names or the error.

require '/usr/share/php/AsyncAws/Core/autoload.php';

use AsyncAws\Core\Configuration;
use AsyncAws\Core\Credentials\ChainProvider;

try {
    $credentials = ChainProvider::createDefaultChain()->getCredentials(Configuration::create([]));
    $told = $credentials === null ? ['Error' => 'no credentials'] : [
        'AccessKeyId' => $credentials->getAccessKeyId(),
        'SecretAccessKey' => $credentials->getSecretKey(),
        'Token' => $credentials->getSessionToken(),
    ];
} catch (Throwable $error) {
    $told = ['Error' => get_class($error) . ': ' . $error->getMessage()];
}
echo json_encode($told), "\n";
