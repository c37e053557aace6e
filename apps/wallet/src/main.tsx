import '@alter-vault/web-kit/base.css'
import { createApiClient } from '@alter-vault/web-kit/api-client.ts'
import { claimInlineStyles } from '@alter-vault/web-kit/strict-csp.ts'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'

const root = document.getElementById('root')
if (!root) throw new Error('index.html has no #root')

/* The link token lives in the fragment: it is read once, kept in memory, and another fragment is another link. */
const { pathname, hash } = window.location
window.addEventListener('hashchange', () => window.location.reload())

claimInlineStyles(document)
createRoot(root).render(
  <StrictMode>
    <App address={{ pathname, hash }} call={createApiClient({ fetch: (input, init) => window.fetch(input, init) })} />
  </StrictMode>,
)
