import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'test/unit/**/*.test.ts',
            'test/rtsp/**/*.test.ts',
            'test/arch/**/*.test.ts',
            'test/fuzz/**/*.test.ts',
          ],
          pool: 'forks',
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          pool: 'forks',
          // Real peers, namespaces and 2 cores: one file after the other. The time limits only
          // catch hangs; no test measures time against them.
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
