import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/answers": process.env.BACKEND ?? "http://127.0.0.1:8001" } },
});
