import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LoadOrder, LoadResult } from './signed-load.ts'

const fileOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

export type Program = AsyncDisposable & { pid: number; port: number }

/** Starts one of the small servers of this folder and resolves with its port. */
export async function startProgram(
  file: 'upstream.ts' | 'plain-proxy.ts' | 'floor.ts',
  args: readonly string[] = [],
): Promise<Program> {
  const child = fork(fileOf(file), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const [{ port }] = (await Promise.race([once(child, 'message'), failed(child, file)])) as [{ port: number }]
  return {
    pid: child.pid!,
    port,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    },
  }
}

/** Runs one load in a process of its own. `atStart` and `atEnd` are called at the borders of what is measured. */
export async function runLoad(
  order: LoadOrder,
  borders: { atStart?: () => Promise<void>; atEnd?: () => Promise<void> } = {},
): Promise<LoadResult> {
  const child = fork(fileOf('signed-load.ts'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const result = new Promise<LoadResult>((resolve, reject) => {
    let noted: Promise<unknown> = Promise.resolve()
    child.on('message', (message: LoadResult | { kind: 'measuring' } | { kind: 'measured' }) => {
      if (message.kind === 'result') noted.then(() => resolve(message), reject)
      else noted = Promise.all([noted, message.kind === 'measuring' ? borders.atStart?.() : borders.atEnd?.()])
    })
  })
  child.send(order)
  try {
    return await Promise.race([result, failed(child, 'signed-load.ts')])
  } finally {
    if (child.connected) child.disconnect()
  }
}

async function failed(child: ChildProcess, name: string): Promise<never> {
  const [code] = await once(child, 'exit')
  // The answer may still be on its way to us.
  await new Promise((resolve) => setImmediate(resolve))
  throw new Error(`${name} ended with ${code} before it was done`)
}
