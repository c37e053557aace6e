import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { settleFiles } from './settle-files.ts'

it('writes what differs, and only tells of it when it checks', async () => {
  const path = `node_modules/.cache/settle-files-${process.pid}.txt`
  const file = join(import.meta.dirname, '..', path)
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  onTestFinished(async () => {
    said.mockRestore()
    await rm(file, { force: true })
  })
  const settle = (text: string, ...args: string[]) => settleFiles('generate-x.ts', new Map([[path, text]]), args)

  expect(await settle('one', '--check')).toBe(1)
  await expect(readFile(file)).rejects.toThrow('ENOENT')
  expect(await settle('one')).toBe(0)
  expect(await readFile(file, 'utf8')).toBe('one')
  expect(await settle('one', '--check')).toBe(0)
  expect(await settle('two', '--check')).toBe(1)
  expect(said).toHaveBeenLastCalledWith(`Not as generated: ${path}. Run: node tools/generate-x.ts\n`)
  expect(await readFile(file, 'utf8')).toBe('one')
})
