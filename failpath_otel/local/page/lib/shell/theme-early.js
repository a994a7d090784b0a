// Applies the theme that was chosen before anything is painted; it is no module, because modules run too late for that.
try {
  const theme = localStorage.getItem("failpath-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // A browser without storage follows the system.
}
