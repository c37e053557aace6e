import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import { ensurePython } from '../support/python.ts'
import { freePort } from '../support/start-vault.ts'

const SERVERS = fileURLToPath(new URL('./servers', import.meta.url))
const READY_WITHIN_MS = 20_000
const TRY_EVERY_MS = 50

/** A request as a server of another make read it. */
export type Reading = {
  method: string
  path: string
  query?: Record<string, unknown>
  form?: Record<string, unknown>
  json?: unknown
  headers?: Record<string, string>
}

export type RawRequest = { method?: string; path?: string; headers?: Record<string, string>; body?: string }

export type Counterpart = AsyncDisposable & {
  host: string
  /** What the server makes of these very bytes, sent without the vault. */
  reads(request: RawRequest): Promise<Reading>
}

/** The servers with which the claims about readers are held. `needs` says what Debian or PyPI call what is missing. */
export const COUNTERPARTS = {
  php: { needs: 'php-cli', command: async (port: number) => ['php', '-S', `127.0.0.1:${port}`, 'echo.php'] },
  rack: { needs: 'ruby-rack, ruby-webrick', command: async (port: number) => ['ruby', 'rack_echo.rb', `${port}`] },
  aiohttp: { needs: 'python3', command: (port: number) => python('aiohttp_echo.py', port) },
  django: { needs: 'python3', command: (port: number) => python('django_echo.py', port) },
  wsgi: { needs: 'python3', command: (port: number) => python('wsgi_echo.py', port) },
} as const

export type CounterpartName = keyof typeof COUNTERPARTS

const python = async (script: string, port: number) => [
  await ensurePython('interop-requirements.txt'),
  script,
  String(port),
]

/** Why a server cannot run here; undefined: it can. */
export function missing(name: CounterpartName): string | undefined {
  const probe = { php: ['php', '-v'], rack: ['ruby', '-rrack', '-rwebrick', '-e', '1'] } as const
  const [command, ...args] = name === 'php' || name === 'rack' ? probe[name] : ['python3', '-m', 'venv', '--help']
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0 ? undefined : `needs ${COUNTERPARTS[name].needs}`
}

export async function startCounterpart(name: CounterpartName): Promise<Counterpart> {
  const port = await freePort()
  const [command = '', ...args] = await COUNTERPARTS[name].command(port)
  const child = spawn(command, args, { cwd: SERVERS, stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const ended = once(child, 'close')
  const end = async () => {
    child.kill('SIGKILL')
    await ended
  }
  for (const began = performance.now(); !(await accepts(port)); ) {
    if (child.exitCode !== null || performance.now() - began > READY_WITHIN_MS) {
      await end()
      throw new Error(`${name} did not start: ${complaints}`)
    }
    await new Promise((resolve) => setTimeout(resolve, TRY_EVERY_MS))
  }
  return {
    host: `127.0.0.1:${port}`,
    reads: async (request) => JSON.parse(await ask(port, request)) as Reading,
    [Symbol.asyncDispose]: end,
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('close', () => socket.destroy())
    socket.end()
  })
}

/** Bare HTTP: `fetch` would bring path and header names into a form of its own. */
async function ask(
  port: number,
  { method = 'POST', path = '/v1/things', headers = {}, body }: RawRequest,
): Promise<string> {
  const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false })
  request.end(body)
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
