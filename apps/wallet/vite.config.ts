import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  base: '/wallet/',
  plugins: [react()],
  // `npm run dev`: the page comes from its source, every other path from the server.
  server: {
    host: '127.0.0.1',
    strictPort: true,
    proxy: Object.fromEntries(['^/(?!wallet/)', '^/wallet/api/'].map((path) => [path, process.env.VAULT_ORIGIN ?? ''])),
  },
  build: {
    target: 'es2022',
    // The page's content security policy allows scripts, styles and fonts of its own origin only: nothing may be inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
