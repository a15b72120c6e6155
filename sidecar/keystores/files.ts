/** Names of the files in the folder that an app mounts. */
export const KEYSTORE_FILES = { keystore: 'keystore.p12', truststore: 'truststore.p12', password: 'password' } as const
