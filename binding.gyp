{
  # The way to build the addon where cmake is missing. Same sources, same flags as CMakeLists.txt.
  "targets": [
    {
      "target_name": "penstock",
      "sources": ["<!@(cat native/sources.txt)"],
      "include_dirs": ["native"],
      # Headers of others are not held to our warnings: -isystem wins over the -I that node-gyp adds.
      "cflags_cc": [
        "-std=gnu++20", "-Wall", "-Wextra", "-Werror", "-O2", "-g1", "-fvisibility=hidden", "-fexceptions", "-frtti",
        "-isystem <!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")",
        "-isystem <(node_root_dir)/include/node"
      ],
      "cflags_cc!": ["-std=gnu++17", "-fno-exceptions", "-fno-rtti"],
      "cflags!": ["-O3"],
      "defines": ["NAPI_VERSION=8", "NODE_ADDON_API_DISABLE_DEPRECATED", "NAPI_CPP_EXCEPTIONS"],
      # The mapping, the vault and the engine belong to the process: they must survive the thread that loaded them.
      "ldflags": ["-Wl,-z,nodelete", "-pthread"]
    }
  ]
}
