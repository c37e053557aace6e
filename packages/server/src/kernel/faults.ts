/**
 * Places where a test may stop the process or fail a step, passed in from outside. The product passes none: each place costs one
 * call of an empty function.
 */
export type FaultPoint =
  | 'before_intent'
  | 'after_intent'
  | 'after_open'
  | 'after_send'
  | 'before_outcome'
  | 'after_claim'
  | 'after_sent_at'
  | 'after_result'
  | 'after_record'

export type Faults = { at(point: FaultPoint): void | Promise<void> }

export const noFaults: Faults = { at: () => undefined }
