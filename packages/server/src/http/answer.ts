/** A success that needs more than its body: another status, or headers of its own. */
export class Answer<Body> {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Body

  constructor(status: number | undefined, headers: Readonly<Record<string, string>>, body: Body) {
    this.status = status
    this.headers = headers
    this.body = body
  }
}

/** What a handler returns instead of a bare value. `status` replaces the endpoint's own; `body` undefined sends none. */
export function answer<Body>(parts: {
  status?: number
  headers?: Readonly<Record<string, string>>
  body: Body
}): Answer<Body> {
  return new Answer(parts.status, parts.headers ?? {}, parts.body)
}

/** A success that is no JSON, sent as it is made. A failure while it is sent breaks the answer off. */
export class Download {
  readonly contentType: string
  readonly fileName: string
  readonly chunks: AsyncIterable<string>

  constructor(contentType: string, fileName: string, chunks: AsyncIterable<string>) {
    this.contentType = contentType
    this.fileName = fileName
    this.chunks = chunks
  }
}

/** What a handler returns instead of a value to send a file. `fileName` holds letters, digits, dots and hyphens only. */
export function download(parts: { contentType: string; fileName: string; chunks: AsyncIterable<string> }): Download {
  return new Download(parts.contentType, parts.fileName, parts.chunks)
}
