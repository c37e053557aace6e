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
