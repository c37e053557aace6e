import { hash } from 'node:crypto'

/*
 * Node makes an array buffer of its own for every digest that it answers as bytes, which costs more than hashing a few hundred bytes and
 * more again when it is collected. As latin1 text, which Node also calls "binary", the same bytes are cheap, and text becomes bytes in
 * Node's pool.
 */

/** SHA-256 (FIPS 180-4) of bytes, or of text as UTF-8: 32 bytes. */
export const sha256 = (data: string | Uint8Array): Buffer => Buffer.from(hash('sha256', data, 'binary'), 'latin1')
