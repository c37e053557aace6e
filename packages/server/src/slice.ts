import type { BoundEndpoint } from './http/bind-endpoint.ts'
import type { ReadinessCheck } from './http/status-routes.ts'
import type { Job } from './kernel/jobs.ts'
import type { Metric } from './kernel/metric.ts'

/** What a slice brings to the server. What ends with what is listed apart, in `create-server.ts`: its order is not the slices'. */
export type Slice = {
  routes?: readonly BoundEndpoint[]
  jobs?: readonly Job[]
  ready?: readonly ReadinessCheck[]
  metrics?: readonly Metric[]
  /**
   * Forgets what is no longer wanted of an app or of what belongs to an organization outside its apps; hourly. A long run ends early when
   * `signal` is aborted.
   */
  forgetInScope?(scopeId: string, signal?: AbortSignal): Promise<unknown>
  /** The same, for what only apps have. */
  forgetInApp?(appId: string, signal?: AbortSignal): Promise<unknown>
  /** Before anything is served, in the order of the slices. */
  start?(): Promise<void>
  /** Before the listener drains: answers those who wait, so that it need not wait for them. */
  drain?(): void
  /** After the last call, in the reverse order. Also after a start that failed. */
  close?(): Promise<void>
}
