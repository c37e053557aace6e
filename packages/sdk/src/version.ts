/** Version of this package; a test holds it equal to `package.json`. */
export const SDK_VERSION = '0.1.0'

/** What every request of this SDK says in `User-Agent`, to the vault and to providers alike. */
export const USER_AGENT = `alter-sdk-typescript/${SDK_VERSION}`
