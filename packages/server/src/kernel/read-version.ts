/** A version that a decision rests on: row `subject` of the app's table `fences`, as it was read. */
export type ReadVersion = { subject: string; version: number }
