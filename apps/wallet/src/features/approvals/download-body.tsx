import type { BodyView } from '@alter-vault/contracts'
import { Button } from '@alter-vault/web-kit/button.tsx'
import { Notice } from '@alter-vault/web-kit/notice.tsx'
import { sizeWords } from '@alter-vault/web-kit/quantity-words.ts'
import { useState } from 'react'
import { bytesOf } from './raw-bytes.ts'

/** Reads the body uncut. Rejects when it cannot be read any more. */
export type LoadWholeBody = () => Promise<BodyView>

const hexOf = (bytes: ArrayBuffer) =>
  [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

/* Outside https and loopback a browser computes no hashes; then the download is not compared. */
async function hasHash(bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<boolean> {
  return globalThis.crypto.subtle === undefined || hexOf(await crypto.subtle.digest('SHA-256', bytes)) === sha256
}

function saveAsFile(bytes: Uint8Array<ArrayBuffer>, sha256: string) {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }))
  const anchor = document.createElement('a')
  anchor.href = url
  anchor.download = `request-body-${sha256.slice(0, 12)}.bin`
  anchor.click()
  URL.revokeObjectURL(url)
}

/** Saves the whole of a body of which a part is shown, after comparing it with the hash that is decided on. */
export function Download({ body, load }: { body: BodyView; load: LoadWholeBody }) {
  const [state, setState] = useState<'idle' | 'loading' | 'failed' | 'changed'>('idle')
  const download = async () => {
    setState('loading')
    try {
      const whole = await load()
      const content = whole.content ?? ''
      const bytes = whole.encoding === 'base64' ? bytesOf(content) : new TextEncoder().encode(content)
      if (!(await hasHash(bytes, body.sha256))) return setState('changed')
      saveAsFile(bytes, body.sha256)
      setState('idle')
    } catch {
      setState('failed')
    }
  }
  return (
    <>
      <p>
        <Button onPress={() => void download()} inert={state === 'loading'}>
          Download all {sizeWords(body.size_bytes)}
        </Button>
      </p>
      {state === 'failed' && (
        <Notice tone="stop" icon="cross" title="The body could not be downloaded" role="alert">
          <p>Nothing was decided and nothing was sent. Try the download again.</p>
        </Notice>
      )}
      {state === 'changed' && (
        <Notice tone="stop" icon="cross" title="The downloaded body has another hash" role="alert">
          <p>It is not the body shown here, and it was not saved. Load the page again before you decide.</p>
        </Notice>
      )}
    </>
  )
}
