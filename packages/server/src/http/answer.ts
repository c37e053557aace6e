/** A success that needs more than its body: another status than the endpoint's own, or headers. `body` undefined sends none. */
export class Answer<Body> {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Body

  constructor(parts: { status?: number; headers?: Readonly<Record<string, string>>; body: Body }) {
    this.status = parts.status
    this.headers = parts.headers ?? {}
    this.body = parts.body
  }
}

/** A file; `fileName` holds letters, digits, dots and hyphens only. */
export type ServedFile = { contentType: string; fileName: string; chunks: AsyncIterable<string> }

/** A success that is no JSON, sent as it is made. A failure while it is sent breaks the answer off. */
export class Download {
  readonly file: ServedFile

  constructor(file: ServedFile) {
    this.file = file
  }
}
