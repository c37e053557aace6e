import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/**
 * What a generator does with its files, by their paths from the root: writes those that differ, or with `--check` only names them.
 * @returns the code to end with: 1 when the check found a difference
 */
export async function settleFiles(
  generator: string,
  files: ReadonlyMap<string, string>,
  args = process.argv,
): Promise<number> {
  const stale: string[] = []
  for (const [path, text] of files) {
    const file = join(ROOT, path)
    if ((await readFile(file, 'utf8').catch(() => undefined)) === text) continue
    stale.push(path)
    if (args.includes('--check')) continue
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  if (!args.includes('--check') || stale.length === 0) return 0
  process.stderr.write(`Not as generated: ${stale.join(', ')}. Run: node tools/${generator}\n`)
  return 1
}
