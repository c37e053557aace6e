/** A figure of this process, or of the whole installation, that is read when somebody asks for the metrics. */
export type Metric = {
  /** `alter_…`; a counter ends in `_total`. */
  name: string
  help: string
  /** Absent: a gauge. A counter only grows while the process runs. */
  type?: 'counter'
  /** The name of the label that tells several figures apart; its values are words of ours, never an id, path or name of anybody. */
  label?: string
  /** One figure, or one for each value of the label. One that cannot be read is left out. */
  read: () => Figures | Promise<Figures>
}

type Figures = number | Readonly<Record<string, number>>
