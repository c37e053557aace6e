import {
  addressField,
  defineSection,
  integerField,
  networksField,
  optionalIntegerField,
  originField,
} from '../kernel/config-section.ts'

export const httpConfig = defineSection('Listening', {
  host: addressField({
    variable: 'ALTER_HOST',
    sentence: 'Address to listen on. Development mode takes loopback addresses only.',
    fallback: '127.0.0.1',
  }),
  port: integerField({
    variable: 'ALTER_PORT',
    sentence: 'Port of the APIs and pages.',
    min: 0,
    max: 65_535,
    fallback: 8787,
  }),
  publicUrl: originField({
    variable: 'ALTER_PUBLIC_URL',
    sentence:
      'Origin under which callers and approvers reach the server; links and error types begin with it. Required by `serve`, and HTTPS unless it is a loopback address.',
    shownDefault: '`http://localhost:<port>` in development',
  }),
  trustedProxies: networksField({
    variable: 'ALTER_TRUSTED_PROXIES',
    sentence:
      'Proxies whose `X-Forwarded-For` is believed: addresses and CIDR blocks, separated by commas. Rules about addresses see the right-most hop that is none of them.',
  }),
  adminHost: addressField({
    variable: 'ALTER_ADMIN_HOST',
    sentence: 'Address of the admin listener, which serves `/metrics` to anybody who reaches it.',
    fallback: '127.0.0.1',
  }),
  adminPort: optionalIntegerField({
    variable: 'ALTER_ADMIN_PORT',
    sentence: 'Port of the admin listener.',
    min: 0,
    max: 65_535,
    shownDefault: '`ALTER_PORT` + 1',
  }),
  maxConnections: integerField({
    variable: 'ALTER_MAX_CONNECTIONS',
    sentence: 'Connections at one time; further ones are closed at once.',
    min: 16,
    max: 1_000_000,
    fallback: 4_096,
  }),
  bodyMemoryMib: integerField({
    variable: 'ALTER_BODY_MEMORY_MIB',
    sentence:
      'MiB that the bodies of requests may take at one time, and half of what answers of providers may take. One API key gets a quarter of it. What does not fit is refused with 503.',
    min: 128,
    max: 65_536,
    fallback: 256,
  }),
  drainSeconds: integerField({
    variable: 'ALTER_DRAIN_SECONDS',
    sentence:
      'How long requests in flight may take to finish after the first SIGTERM or SIGINT. A second signal ends the process at once.',
    min: 0,
    max: 600,
    fallback: 30,
  }),
})
