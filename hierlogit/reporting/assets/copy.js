// Buttons that copy the text of the element named by `data-copies`: by selecting it, which pages from a disk may do as well.
for (const button of document.querySelectorAll("button[data-copies]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const range = document.createRange(), selection = getSelection();
    range.selectNodeContents(document.getElementById(button.dataset.copies));
    selection.removeAllRanges();
    selection.addRange(range);
    button.nextElementSibling.textContent = document.execCommand("copy") ? "Copied." : "Selected: copy it with the keyboard.";
  });
}
