// What a release makes of CHANGELOG.md, and what is wrong with one.

import { readFileSync } from 'node:fs'
import test from 'ava'

const url = new URL('../../../scripts/changelog.mjs', import.meta.url)
const { problems, release, notes } = (await import(url.href)) as {
  problems: (text: string) => string[]
  release: (text: string, version: string, date: string, address?: string) => string
  notes: (text: string, version: string) => string
}

const head = '# Changelog\n\nAbout it.\n\n'

test("the project's own has the form", (t) => {
  const text = readFileSync(new URL('../../../CHANGELOG.md', import.meta.url), 'utf8')
  t.deepEqual(problems(text), [])
})

test('what was unreleased becomes the version, and Unreleased is empty again', (t) => {
  const first = release(`${head}## [Unreleased]\n\n### Added\n\n- One.\n`, '0.1.0', '2026-01-02')
  t.is(first, `${head}## [Unreleased]\n\n## [0.1.0] - 2026-01-02\n\n### Added\n\n- One.\n`)
  t.deepEqual(problems(first), [])

  const more = first.replace('## [Unreleased]\n', '## [Unreleased]\n\n### Fixed\n\n- Two.\n')
  const second = release(more, '0.1.1', '2026-02-03', 'https://example.org/millrace')
  t.is(
    second,
    `${head}## [Unreleased]\n\n## [0.1.1] - 2026-02-03\n\n### Fixed\n\n- Two.\n\n` +
      '## [0.1.0] - 2026-01-02\n\n### Added\n\n- One.\n\n' +
      '[0.1.1]: https://example.org/millrace/releases/tag/v0.1.1\n',
  )
  t.deepEqual(problems(second), [])
  t.is(notes(second, '0.1.0'), '### Added\n\n- One.')

  const again = second.replace('## [Unreleased]\n', '## [Unreleased]\n\n### Fixed\n\n- Three.\n')
  const third = release(again, '0.1.2', '2026-02-04', 'https://example.org/millrace')
  t.regex(third, /\n\[0\.1\.2\]: \S+v0\.1\.2\n\[0\.1\.1\]: \S+v0\.1\.1\n$/)
  t.deepEqual(problems(third), [])
  t.is(notes(third, '0.1.0'), '### Added\n\n- One.')
})

test('there is nothing to release, or it was released', (t) => {
  t.throws(() => release(`${head}## [Unreleased]\n`, '0.1.0', '2026-01-02'), {
    message: /nothing under/,
  })
  const twice = `${head}## [Unreleased]\n\n### Added\n\n- Two.\n\n## [0.1.0] - 2026-01-02\n\n### Added\n\n- One.\n`
  t.throws(() => release(twice, '0.1.0', '2026-01-03'), { message: /0\.1\.0 already/ })
})

test('faults of form are named', (t) => {
  const named = (sections: string) => problems(head + sections)
  t.is(named('## 0.1.0\n\n### Added\n\n- One.\n').length, 1)
  t.is(named('## [0.1.0] - 2026-01-02\n').length, 1)
  t.is(named('## [Unreleased]\n\n### Security\n\n- One.\n').length, 1)
  t.is(named('## [Unreleased]\n\n### Fixed\n\n- One.\n\n### Added\n\n- Two.\n').length, 1)
})
