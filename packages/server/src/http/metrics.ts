import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client'

export type Metrics = {
  /** Where other folders register their own. */
  registry: Registry
  /** One request whose key nobody has. */
  noteUnknownKey(): void
  /** For `createListener`. */
  observe(route: string, status: number, seconds: number): void
}

/** The process's metrics. Labels hold routes and status classes only: no id, path or name of anybody. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'alter_http_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [registry],
  })
  const unknownKeys = new Counter({
    name: 'alter_unknown_keys_total',
    help: 'Requests with an API key that is not known.',
    registers: [registry],
  })
  // Finding the series of its labels costs more than counting, and routes and classes are few.
  const series = new Map<string, Histogram.Internal<'route' | 'status'>>()
  function seriesOf(route: string, status: string): Histogram.Internal<'route' | 'status'> {
    const name = `${status} ${route}`
    let found = series.get(name)
    if (found === undefined) {
      found = requests.labels({ route, status })
      series.set(name, found)
    }
    return found
  }
  return {
    registry,
    noteUnknownKey: () => unknownKeys.inc(),
    observe: (route, status, seconds) => seriesOf(route, `${Math.floor(status / 100)}xx`).observe(seconds),
  }
}

export type AdminListener = {
  listen(where: { host: string; port: number }): Promise<AddressInfo>
  close(): Promise<void>
}

/** Serves `GET /metrics` in Prometheus text form, and nothing else. Meant for loopback or a private network: it asks nobody who they are. */
export function createAdminListener({ registry }: Pick<Metrics, 'registry'>): AdminListener {
  const server: Server = createServer((request, response) => {
    request.resume()
    if (request.url !== '/metrics') {
      response.writeHead(404).end()
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { Allow: 'GET, HEAD' }).end()
    } else {
      registry.metrics().then(
        (text) =>
          response.writeHead(200, { 'Content-Type': registry.contentType, 'Cache-Control': 'no-store' }).end(text),
        () => response.writeHead(500).end(),
      )
    }
  })
  return {
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          resolve(server.address() as AddressInfo)
        })
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
