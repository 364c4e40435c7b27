import js from '@eslint/js'
import { defineConfig, globalIgnores } from 'eslint/config'
import tseslint from 'typescript-eslint'

export default defineConfig(
  // Type tests hold statements that only a type checker evaluates.
  globalIgnores([
    'build',
    'build-native',
    'coverage',
    'dist',
    'out',
    'prebuilds',
    'site',
    'test/types',
  ]),

  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'no-param-reassign': 'error',
      'object-shorthand': 'error',
      'prefer-const': 'error',
    },
  },

  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['./tsconfig.json', './tsconfig.test.json', './lib/dashboard/page/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/consistent-type-exports': 'error',
      // typeof import('millrace') is how a test names the type of a required module.
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // An index checked a line earlier is not news to the reader.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrorsIgnorePattern: '^_' },
      ],
      // What was caught is passed on as it is.
      '@typescript-eslint/prefer-promise-reject-errors': ['error', { allowThrowingUnknown: true }],
      // `for await (const frame of reader)` ends on its own: an endless loop is the idiom here.
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: 'only-allowed-literals' },
      ],
    },
  },
  {
    // AVA's tests are declared, not awaited, and assert on purpose what types already say.
    files: ['test/**/*.ts', 'examples/**/*.ts', 'bench/**/*.ts'],
    rules: {
      '@typescript-eslint/explicit-module-boundary-types': 'off',
      '@typescript-eslint/no-confusing-void-expression': 'off',
    },
  },

  {
    // What not every program uses is loaded where it is used: see `parts` in scripts/bundle/modules.mjs.
    files: ['lib/**/*.ts'],
    rules: {
      '@typescript-eslint/no-require-imports': [
        'error',
        {
          allow: [
            '^\\./[a-z-]+\\.js$',
            '^(?:\\./|(?:\\.\\./){1,2})(?:base|cell|engines|frames|net|place|queue|remote|rpc|telemetry|topics|work)/[a-z-]+\\.js$',
          ],
        },
      ],
    },
  },

  {
    // Tests of users put others in their place: lib/base/time.ts has the real ones.
    files: ['lib/**/*.ts'],
    ignores: ['lib/base/time.ts', 'lib/cli/**', 'lib/dashboard/page/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...[
          ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
          ...['setImmediate', 'clearImmediate', 'queueMicrotask', 'performance'],
        ].map((name) => ({ name, message: 'lib/base/time.ts has what no test replaces.' })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'lib/base/time.ts has the real clock.' },
        { object: 'process', property: 'hrtime', message: 'lib/base/time.ts has the real clock.' },
        { object: 'process', property: 'nextTick', message: 'Tests put others in its place.' },
      ],
    },
  },

  {
    files: ['**/*.{js,mjs}'],
    languageOptions: { globals: { console: 'readonly', URL: 'readonly' } },
  },
  {
    // They run under several runtimes, as modules and as CommonJS.
    files: ['smoke/**/*.{mjs,cjs}'],
    languageOptions: {
      globals: {
        AbortController: 'readonly',
        performance: 'readonly',
        process: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
      },
    },
  },
  {
    files: ['smoke/**/*.cjs'],
    languageOptions: { sourceType: 'commonjs' },
  },
)
