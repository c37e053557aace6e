import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'

const RUN = fileURLToPath(new URL('./run.mjs', import.meta.url))

/** A process that does what each command does: run Node on a script and end as it does. */
function runThrough(script: string): ChildProcess {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { runNode } from ${JSON.stringify(RUN)}; process.exitCode = await runNode(process.execPath, ['-e', ${JSON.stringify(script)}])`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

async function exitCode(child: ChildProcess): Promise<number | null> {
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

test('ends with the exit code of what it ran', async () => {
  expect(await exitCode(runThrough('process.exit(7)'))).toBe(7)
})

test('ends with 128 and the number of the signal that ended it', async () => {
  expect(await exitCode(runThrough("process.kill(process.pid, 'SIGKILL')"))).toBe(137)
})

test('passes one Ctrl-C on once, though terminal and npm both send it, and waits for the child to drain', async () => {
  const child = runThrough(`
    let interrupts = 0
    process.on('SIGINT', () => {
      interrupts++
      if (interrupts === 1) setTimeout(() => { console.log('interrupts ' + interrupts); process.exit(3) }, 200)
    })
    setInterval(() => undefined, 1000)
    console.log('ready')`)
  const lines = createInterface({ input: child.stdout! })
  const ended = exitCode(child)
  await once(lines, 'line')
  const drained = once(lines, 'line')
  child.kill('SIGINT')
  child.kill('SIGINT')
  expect(await drained).toEqual(['interrupts 1'])
  expect(await ended).toBe(3)
})
