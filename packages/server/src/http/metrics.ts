import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Metric } from '../kernel/metric.ts'

export type Metrics = {
  registry: Registry
  /** For `createListener`. */
  observe(route: string, status: number, seconds: number): void
  /** For `createListener`: one request that was refused. */
  observeRefusal(code: string): void
}

/** The process's metrics with those of the slices. Labels hold routes, status classes and codes only: no id, path or name of anybody. */
export function createMetrics(ofSlices: readonly Metric[] = []): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const requests = new Histogram({
    name: 'alter_http_request_seconds',
    help: 'Time from the arrival of a request to the end of its answer.',
    labelNames: ['route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers: [registry],
  })
  const refusals = new Counter({
    name: 'alter_refusals_total',
    help: 'Refused requests by error code.',
    labelNames: ['code'],
    registers: [registry],
  })
  for (const metric of ofSlices) registerMetric(registry, metric)
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
    observe: (route, status, seconds) => seriesOf(route, `${Math.floor(status / 100)}xx`).observe(seconds),
    observeRefusal: (code) => refusals.inc({ code }),
  }
}

function registerMetric(registry: Registry, { name, help, type, label, read }: Metric): void {
  const common = { name, help, labelNames: label === undefined ? [] : [label], registers: [registry] }
  const note = async (add: (labels: Record<string, string>, value: number) => void, drop: () => void) => {
    drop()
    try {
      const figures = await read()
      if (typeof figures === 'number') add({}, figures)
      else for (const [value, figure] of Object.entries(figures)) add({ [label!]: value }, figure)
    } catch {
      // The other figures are of use when the database is away.
    }
  }
  if (type === 'counter') {
    const counter: Counter = new Counter({
      ...common,
      collect: () =>
        note(
          (labels, value) => counter.inc(labels, value),
          () => counter.reset(),
        ),
    })
  } else {
    const gauge: Gauge = new Gauge({
      ...common,
      collect: () =>
        note(
          (labels, value) => gauge.set(labels, value),
          () => (label === undefined ? gauge.remove() : gauge.reset()),
        ),
    })
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
