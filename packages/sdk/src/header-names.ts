/** Names of headers in lower case. */

const named = (names: string): ReadonlySet<string> => new Set(names.split(/\s+/))

/** They carry credentials by their nature. */
const SENSITIVE = `authorization proxy-authorization authentication cookie set-cookie x-api-key x-auth-token x-amz-security-token
  x-amz-date x-amz-content-sha256 x-goog-authorization x-goog-iam-authorization-token`

/** What no report shows. */
export const UNREPORTED_HEADERS = named(SENSITIVE)

/** Names that belong to the vault's own injection or would steer a proxied request elsewhere; it refuses them as well. */
export const PROXY_REFUSED_HEADERS = named(
  `${SENSITIVE} host x-stripe-account x-shopify-access-token x-http-method x-http-method-override x-method-override`,
)

/** `fetch` sets these itself, or forbids them. */
export const FRAMING_HEADERS = named(
  'host content-length transfer-encoding connection keep-alive upgrade expect te trailer',
)

/** They frame the message or steer its way; no credential belongs in them. */
export const NEVER_INJECTED_HEADERS = named(
  `host content-length content-type transfer-encoding connection keep-alive upgrade proxy-authenticate proxy-authorization te trailer
  cookie set-cookie x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip x-http-method-override x-method-override
  www-authenticate strict-transport-security content-security-policy`,
)
