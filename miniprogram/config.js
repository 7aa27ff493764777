module.exports = {
  /**
   * The company's edge, without a slash at the end. It must also stand in the mini program's list
   * of domains for `request` and for `uploadFile`.
   */
  edge: "https://files.example.com",
};
