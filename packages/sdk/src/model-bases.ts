/** What some generated classes can do beside holding their fields: a class `XBase` here is what the class `X` extends. */
import { Buffer } from 'node:buffer'
import { Model } from './shape.ts'

/**
 *   pending ──▶ approved ──▶ executing ──▶ executed   (then there is a result)
 *      │           └──────────────┴──────▶ failed
 *      ├──▶ denied
 *      └──▶ expired
 */
export abstract class ApprovalStatusBase<Json extends object> extends Model<Json> {
  declare readonly status: string

  /** No further change will come. */
  get isTerminal(): boolean {
    return ['denied', 'expired', 'executed', 'failed'].includes(this.status)
  }
}

export abstract class ApprovalResultBase<Json extends object> extends Model<Json> {
  declare readonly bodyB64: string

  /** The body as bytes. */
  bodyBytes(): Uint8Array {
    return Uint8Array.from(Buffer.from(this.bodyB64, 'base64'))
  }

  /**
   * The body as text; bytes that do not fit the encoding become U+FFFD.
   * @param encoding a label that `TextDecoder` knows
   * @throws {RangeError} for an encoding it does not know
   */
  bodyText(encoding = 'utf-8'): string {
    return new TextDecoder(encoding).decode(this.bodyBytes())
  }

  /**
   * The body as JSON.
   * @throws {SyntaxError} when it is none, an empty body among them
   */
  bodyJson(): unknown {
    return JSON.parse(this.bodyText())
  }
}
