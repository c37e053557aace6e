import { expect, test } from 'vitest'
import { Provider } from './provider.ts'

test('names each provider by its id in capitals', () => {
  for (const [name, id] of Object.entries(Provider)) {
    expect(id).toMatch(/^[a-z0-9][a-z0-9-]*$/)
    expect(name).toBe(id.toUpperCase().replaceAll('-', '_'))
  }
  expect(new Set(Object.values(Provider)).size).toBe(72)
  expect(Provider.CAL_COM).toBe('cal-com')
})
